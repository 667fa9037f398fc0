"""A small, locally generated data set of drawn figures that exercises every feature of the method and the app."""
