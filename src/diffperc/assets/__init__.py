"""Files that come with the package: models, vocabularies, prompts, class names."""
