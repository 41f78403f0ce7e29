package main

// The size of a map's element is part of its type: the lab writes this file anew before it builds.
const valueBytes = 128

// What is left of a value that carries its deadline in its first 8 bytes.
const restBytes = 120
