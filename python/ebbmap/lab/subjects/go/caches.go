package main

// customer is a value that carries its own deadline, in its first 8 bytes: what is in the map is of the size asked for.
type customer struct {
	deadline int64
	rest     [restBytes]byte
}

// cache holds the customers of the last window; the clock is the caller's, in nanoseconds.
type cache interface {
	put(key int, who *customer)
	// get tells whether the customer is known and alive.
	get(key int, now int64) (rest [restBytes]byte, alive bool)
	// sweep deletes what has expired: what a program does every few minutes of the hour.
	sweep(now int64)
	// recreate does what a program does every hour to get memory back.
	recreate()
	held() int
}

var caches = map[string]func() cache{
	"go:inline":   func() cache { return &hour{m: make(map[int]customer)} },
	"go:pointer":  func() cache { return &hourOfPointers{make(map[int]*customer)} },
	"go:recreate": func() cache { return &hour{m: make(map[int]customer), anew: true} },
}

// hour is the document's map, swept by hand; with anew, a new map takes over what is left every hour.
type hour struct {
	m    map[int]customer
	anew bool
}

func (h *hour) put(key int, who *customer) { h.m[key] = *who }

func (h *hour) get(key int, now int64) ([restBytes]byte, bool) {
	who, known := h.m[key]
	return who.rest, known && now < who.deadline
}

func (h *hour) sweep(now int64) {
	for key, who := range h.m {
		if who.deadline <= now {
			delete(h.m, key)
		}
	}
}

func (h *hour) recreate() {
	if !h.anew {
		return
	}
	fresh := make(map[int]customer, len(h.m))
	for key, who := range h.m {
		fresh[key] = who
	}
	h.m = fresh
}

func (h *hour) held() int { return len(h.m) }

// hourOfPointers has only pointers in its buckets.
type hourOfPointers struct{ m map[int]*customer }

func (h *hourOfPointers) put(key int, who *customer) {
	fresh := new(customer)
	*fresh = *who
	h.m[key] = fresh
}

func (h *hourOfPointers) get(key int, now int64) (rest [restBytes]byte, alive bool) {
	if who, known := h.m[key]; known && now < who.deadline {
		return who.rest, true
	}
	return
}

func (h *hourOfPointers) sweep(now int64) {
	for key, who := range h.m {
		if who.deadline <= now {
			delete(h.m, key)
		}
	}
}

func (h *hourOfPointers) recreate() {}
func (h *hourOfPointers) held() int { return len(h.m) }
