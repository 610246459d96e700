module lcow-test-guest

go 1.24
