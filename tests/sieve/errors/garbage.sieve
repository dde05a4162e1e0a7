keep @;
discard § 1;
