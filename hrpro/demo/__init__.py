"""A small data set of drawn figures, generated locally, that shows everything the method and the app do."""
