module log-oracle

go 1.24
