module h2watch/client

go 1.24
