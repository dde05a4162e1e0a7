require "imap4flags";
setflag "variable" "\\Seen";
addflag;
setflag 3;
keep :flags;
