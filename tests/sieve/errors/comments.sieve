# one
/* two
   three */ # four
