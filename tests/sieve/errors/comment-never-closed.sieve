keep; /* abc
discard;
