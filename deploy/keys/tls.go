package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// routeName is the one name in the node certificate. Nodes are reached by address, so
// the name is fixed rather than a host's; the pin is what admits a node.
const routeName = "dms-node"

// routeLifetime is long because nobody renews the certificate by hand: the pin admits
// exactly one key, and a cluster that cannot form because of a date helps no one.
const routeLifetime = 30 * 365 * 24 * time.Hour

type routeFiles struct{ caCert, caKey, cert, key []byte } // PEM

func newRouteFiles(now time.Time) (routeFiles, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return routeFiles{}, fmt.Errorf("make authority key: %w", err)
	}
	nodeKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return routeFiles{}, fmt.Errorf("make node key: %w", err)
	}
	// Back-dated, for hosts whose clocks differ.
	from, to := now.Add(-24*time.Hour), now.Add(routeLifetime)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dms routes"},
		NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	node := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: routeName}, DNSNames: []string{routeName},
		NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	var f routeFiles
	if f.caCert, err = signed(ca, ca, caKey, caKey); err != nil {
		return routeFiles{}, err
	}
	if f.cert, err = signed(node, ca, nodeKey, caKey); err != nil {
		return routeFiles{}, err
	}
	if f.caKey, err = keyPEM(caKey); err != nil {
		return routeFiles{}, err
	}
	f.key, err = keyPEM(nodeKey)
	return f, err
}

func signed(cert, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("sign certificate %s: %w", cert.Subject.CommonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode certificate key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// routeConfig returns the configuration and the pin of the node certificate.
func routeConfig(f routeFiles) (*tls.Config, string, error) {
	pair, err := tls.X509KeyPair(f.cert, f.key)
	if err != nil {
		// The library's text names positions, not contents.
		return nil, "", fmt.Errorf("node certificate and key: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(f.caCert) {
		return nil, "", errors.New("no certificate of the authority in its file")
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{
		Roots: pool, DNSName: routeName, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}); err != nil {
		return nil, "", fmt.Errorf("node certificate: %w", err)
	}
	pin := sha256.Sum256(pair.Leaf.RawSubjectPublicKeyInfo)
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, ServerName: routeName,
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}, hex.EncodeToString(pin[:]), nil
}
