"""The Sentry protocol, so that unmodified SDKs report here; see `routes` for what is taken and what is not."""
