"""The five vendors on loopback, with every doubt about them a knob, for demos, tests and DAG work without a network.

``python -m airflow_provider_contacts.simulator`` serves them; in a test, ``app.Simulator`` is the world as an object
(its ``app`` is ASGI) and ``server.running`` serves it on a real socket. It shares no code with the vendor files: what
one of them misunderstands, the simulator must be able to show.
"""
