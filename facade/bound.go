package facade

import (
	"errors"
	"fmt"
	"net/http"

	"dms/mapping/dms"
	"dms/tenancy"
)

// checkHolder refuses a caller whose credential is bound to a certificate, unless the
// connection was made with it (RFC 8705, section 3). Only the connection itself counts:
// a header in which a proxy tells a certificate is anybody's to send. The error wraps
// tenancy.ErrUnauthenticated.
func (a *API) checkHolder(r *http.Request, id tenancy.Identity) error {
	switch {
	case !id.Bound():
		return nil
	case r.TLS == nil || len(r.TLS.PeerCertificates) == 0:
		return fmt.Errorf("%w: the token is bound to a certificate and the connection has none", tenancy.ErrUnauthenticated)
	}
	leaf := r.TLS.PeerCertificates[0]
	if !tenancy.ThumbprintOf(leaf.Raw).Equal(id.Certificate) {
		return fmt.Errorf("%w: the token is bound to another certificate than the connection's", tenancy.ErrUnauthenticated)
	}
	// It was good when the connection was made, which may be long ago.
	if a.o.Now().After(leaf.NotAfter) {
		return fmt.Errorf("%w: the certificate of the connection has ended", tenancy.ErrUnauthenticated)
	}
	return nil
}

// checkBound refuses credentials that a thief could use, where the project admits none
// of them. It is asked last: what a project admits is for its members to know.
func checkBound(p tenancy.Project, caller tenancy.Identity, signed bool) error {
	if !p.BoundOnly || caller.Bound() {
		return nil
	}
	err := &dms.Error{Code: dms.TokenInvalid, Message: "this project admits only tokens that are bound to a client certificate", Err: errors.New("the token is not bound")}
	if signed {
		err.Code, err.Err = dms.SignatureBad, errors.New("a signature is not bound")
	}
	return err
}
