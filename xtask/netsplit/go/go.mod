module netsplit

go 1.21
