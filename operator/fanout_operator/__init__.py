"""The operator: turns FanoutRoutes into plans for the dispatcher, and the dispatchers' reports into status."""
