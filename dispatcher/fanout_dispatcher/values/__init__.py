"""The words of the dispatcher as immutable values; everything else is built from them."""
