module h2watch.test/exact

go 1.21
