package main

// value is what the document stores: so many bytes, in the map's buckets up to 128 of them.
type value [valueBytes]byte

type subject interface {
	put(key int, v *value)
	remove(key int)
	has(key int) bool
	// maintain does what a program does from time to time to get memory back.
	maintain()
	entries() int
}

var subjects = map[string]func() subject{
	"go:inline":   func() subject { return &inline{make(map[int]value)} },
	"go:pointer":  func() subject { return &pointer{make(map[int]*value)} },
	"go:recreate": func() subject { return &recreate{inline{make(map[int]value)}} },
}

// inline is the document's map.
type inline struct{ m map[int]value }

func (s *inline) put(key int, v *value) { s.m[key] = *v }
func (s *inline) remove(key int)        { delete(s.m, key) }
func (s *inline) has(key int) bool      { _, there := s.m[key]; return there }
func (s *inline) maintain()             {}
func (s *inline) entries() int          { return len(s.m) }

// pointer is the document's second remedy: only a pointer is in the buckets.
type pointer struct{ m map[int]*value }

func (s *pointer) put(key int, v *value) {
	fresh := new(value)
	*fresh = *v
	s.m[key] = fresh
}
func (s *pointer) remove(key int) { delete(s.m, key) }
func (s *pointer) has(key int) bool {
	_, there := s.m[key]
	return there
}
func (s *pointer) maintain()    {}
func (s *pointer) entries() int { return len(s.m) }

// recreate is the document's first remedy: a new map takes over what is left.
type recreate struct{ inline }

func (s *recreate) maintain() {
	fresh := make(map[int]value, len(s.m))
	for key, v := range s.m {
		fresh[key] = v
	}
	s.m = fresh
}
