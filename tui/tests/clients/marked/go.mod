module h2watch.test/marked

go 1.21
