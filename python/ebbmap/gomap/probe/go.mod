module ebbmap/probe

go 1.18
