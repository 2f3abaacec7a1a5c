module h2watch.test/tls

go 1.21
