"""The sink as plan sources know it. It is defined with the values, since the engine, which is one, sits below them."""

from fanout_dispatcher.values.sink import PlanRefused as PlanRefused
from fanout_dispatcher.values.sink import PlanSink as PlanSink
