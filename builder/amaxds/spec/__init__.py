"""What is to be made: networks, recipes, plans. Frozen values, with no Keras and no disk."""
