"""Settings in, a trainer out: the only place where the parts meet.

Three modules, each imported only when it is needed, so that a simulator starts before torch is loaded:
`environment`, `learner`, `trainer`.
"""
