"""What can go wrong for an operator; loaded without the Kubernetes client, for advice.py.

PlatformError
├── KubernetesMissing   the packages for operators are not installed
├── NoCluster           no kubeconfig, no such context, or nobody answers
├── ClusterRefused      the cluster's own words
├── NotInstalled        there is no platform in this cluster, or no such function
├── NothingToServe      no older revision could take over
├── JobFailed           a Job did not answer or did not do its work
├── NotReady            something stands in the way of an installation
├── ManifestsUnreadable the file of manifests holds none
└── Unwell              something needs somebody; the page has said what
"""

from collections.abc import Sequence


class PlatformError(Exception):
    """The root; never raised itself."""


class KubernetesMissing(PlatformError):
    """The packages for operators are not installed."""


class NoCluster(PlatformError):
    """There is no cluster to talk to."""


class ClusterRefused(PlatformError):
    """The cluster refused; the message is its own."""


class NotInstalled(PlatformError):
    """There is no platform in this cluster, or not this function of it."""


class NothingToServe(PlatformError):
    """No older revision of a function could take its requests."""


class JobFailed(PlatformError):
    """A Job did not answer or did not do its work; the message says why."""


class NotReady(PlatformError):
    """Something stands in the way of an installation: `problems`, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class ManifestsUnreadable(PlatformError):
    """A file of manifests that an operator named holds none."""


class Unwell(PlatformError):
    """Something of the platform needs somebody."""
