redirect text:
abc
