"""How files are read: images, lists, COCO, REFER, folders of images and truths, and their split."""
