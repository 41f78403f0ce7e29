//go:build go1.26 || (go1.24 && goexperiment.swissmap)

package main

import "unsafe"

// swissMap is the start of internal/runtime/maps.Map.
type swissMap struct {
	used        uint64
	seed        uintptr
	dirPtr      unsafe.Pointer
	dirLen      int
	globalDepth uint8
}

// table is the start of internal/runtime/maps.table.
type table struct {
	used       uint16
	capacity   uint16
	growthLeft uint16
	localDepth uint8
	index      int
}

// read looks into a live map of Go 1.24 and later; a map of one group has no table.
func read[K comparable, V any](m map[K]V) header {
	s := *(**swissMap)(unsafe.Pointer(&m))
	if s.dirLen == 0 {
		return header{}
	}
	h := header{Depth: int(s.globalDepth)}
	for i, t := range unsafe.Slice((**table)(s.dirPtr), s.dirLen) {
		if t.index == i { // a table may stand in several places of the directory
			h.Tables++
			h.Slots += int(t.capacity)
		}
	}
	return h
}
