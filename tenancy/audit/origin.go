package audit

import "context"

// Origin is where a request comes from, as the edge knows it.
type Origin struct {
	Source    string // address of the client
	Network   string // what refusals are folded by
	RequestID string
}

type originKey struct{}

// WithOrigin returns a context for what a request causes.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginOf returns the origin of the request that the context belongs to, empty without one.
func OriginOf(ctx context.Context) Origin {
	o, _ := ctx.Value(originKey{}).(Origin)
	return o
}
