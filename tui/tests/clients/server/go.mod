module h2watch.test/server

go 1.24
