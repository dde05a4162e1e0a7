"""The dkim-signer: the only process that reads private DKIM keys."""
