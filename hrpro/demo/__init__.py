"""A small data set of drawn figures, made on the spot, that shows everything the method and the app do."""
