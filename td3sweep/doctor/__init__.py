"""The doctor: is an update wired as it claims? Needs torch alone, so that it can be used on anybody's learner."""

from td3sweep.doctor.audit import Audit, audit
from td3sweep.doctor.checks import Finding
from td3sweep.doctor.learner import Limit

__all__ = ["Audit", "Finding", "Limit", "audit"]
