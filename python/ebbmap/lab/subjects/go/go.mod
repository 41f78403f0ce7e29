module ebbmap.lab/maps

go 1.19
