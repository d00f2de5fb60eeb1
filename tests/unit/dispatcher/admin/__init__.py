"""The ports for operators, over real sockets and a desk of the tests' own."""
