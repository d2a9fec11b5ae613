"""The settings of the jobs service."""

import os
import socket

from pydantic import Field, SecretStr

from shared.settings import HttpSettings, KafkaSettings, KeySettings, PostgresSettings


class JobsSettings(HttpSettings, KafkaSettings, PostgresSettings, KeySettings):
    """One worker process: its API, its Faust agents and its dispatcher."""

    #: Where the API and the console listen.
    jobs_port: int = 8002
    #: This worker's name on leases and in logs.
    jobs_worker_name: str = Field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    #: Records that an agent stores in one transaction, at most.
    jobs_batch_records_max: int = Field(default=500, ge=1)
    #: Handlers that run at once in this process.
    jobs_concurrency: int = Field(default=16, ge=2)
    #: Of these, slots that only lane p0 may take, so that urgent work never waits for bulk.
    jobs_reserved_slots: int = Field(default=2, ge=0)
    #: How long a running job belongs to its worker without a word from it; renewed at a third of it.
    jobs_lease_s: float = Field(default=6.0, gt=0)
    #: How often the sweeper looks for due jobs that nobody was told about.
    jobs_sweep_interval_s: float = Field(default=0.25, gt=0)
    #: How long after its hint an unclaimed job is claimed by a worker that has nothing else to do.
    jobs_overdue_after_s: float = Field(default=2.0, gt=0)
    #: Where mail goes: `smtp://host:port`, `smtps://user:password@host:port`, or `maildir:/absolute/folder`.
    mail_url: SecretStr = SecretStr("maildir:/tmp/signalbox-mail")
    #: The sender of mail.
    mail_from: str = "signalbox@localhost"
    #: Hosts (comma separated) that notifications may be posted to; empty allows none.
    webhook_hosts: str = ""
    #: How long raw events are kept after they were stored, in days. Longer than Kafka keeps records, since it is the
    #: raw rows that tell a redelivered event from a new one.
    retention_raw_days: int = Field(default=14, ge=8)
    #: How long minute rows are kept, in days.
    retention_minute_days: int = Field(default=35, ge=1)
    #: How long finished jobs, and what they made, are kept, in days.
    retention_jobs_days: int = Field(default=30, ge=1)
