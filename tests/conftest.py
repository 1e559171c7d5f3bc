"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# Machines that run tests are busy: no test says how long something may take.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
