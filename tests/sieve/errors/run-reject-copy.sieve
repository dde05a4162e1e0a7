require ["reject", "copy", "fileinto"]; fileinto :copy "x"; reject "no";
