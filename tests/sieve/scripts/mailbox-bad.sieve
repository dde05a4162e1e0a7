require ["mailbox", "mboxmetadata", "servermetadata"];
if mailboxexists { keep; }
if metadata "INBOX" "private/x" "y" { keep; }
if servermetadata "/none/x" "y" { keep; }
if metadataexists "INBOX" { keep; }
