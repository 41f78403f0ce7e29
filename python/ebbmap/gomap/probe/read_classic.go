//go:build !go1.24 || (!go1.26 && !goexperiment.swissmap)

package main

import "unsafe"

// hmap is the start of runtime.hmap.
type hmap struct {
	count      int
	flags      uint8
	b          uint8
	noverflow  uint16
	hash0      uint32
	buckets    unsafe.Pointer
	oldbuckets unsafe.Pointer
}

// read looks into a live map of Go up to 1.23.
func read[K comparable, V any](m map[K]V) header {
	h := *(**hmap)(unsafe.Pointer(&m))
	return header{
		B:         int(h.b),
		Noverflow: int(h.noverflow),
		Overflow:  overflow(h, bucketSize[K, V]()),
		Growing:   h.oldbuckets != nil,
	}
}

func bucketSize[K comparable, V any]() uintptr {
	var key K
	var elem V
	return 8 + 8*stored(unsafe.Sizeof(key)) + 8*stored(unsafe.Sizeof(elem)) + 8
}

func stored(size uintptr) uintptr {
	if size > 128 {
		return 8
	}
	return size
}

// overflow counts the overflow buckets by following each chain (noverflow is only a sample in large maps).
func overflow(h *hmap, size uintptr) int {
	count := 0
	if h.buckets == nil {
		return 0
	}
	for i := uintptr(0); i < 1<<h.b; i++ {
		for bucket := next(unsafe.Add(h.buckets, i*size), size); bucket != nil; bucket = next(bucket, size) {
			count++
		}
	}
	return count
}

func next(bucket unsafe.Pointer, size uintptr) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Add(bucket, size-8))
}
