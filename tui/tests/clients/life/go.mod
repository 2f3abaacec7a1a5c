module life

go 1.21
