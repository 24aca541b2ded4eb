// Package strictjson reads JSON the way an interface to strangers must: one value,
// exact member names, nothing twice, nothing unknown, valid UTF-8. What the caller's
// members mean is left to the caller, and values it wants verbatim are never copied.
package strictjson
