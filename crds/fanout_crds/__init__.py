"""The contract of both planes: the FanoutRoute API, its validation, and the plan a dispatcher carries out."""
