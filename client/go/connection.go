package sakuga

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

const (
	// DefaultAddress is where a server listens by default.
	DefaultAddress = "http://127.0.0.1:50051"
	// AddressVariable is the environment variable with the address of the server.
	AddressVariable = "SAKUGA_SERVER"
	// TokenVariable is the environment variable with the token.
	TokenVariable = "SAKUGA_TOKEN"
	// CAVariable is the environment variable with the path of the CAs that sign the server's certificate.
	CAVariable = "SAKUGA_CA"

	defaultPort = "50051"
	// A preview is one message: 2048 by 2048 pixels of noise as PNG are 12 MiB.
	maxMessageBytes = 32 << 20
)

// ErrAddress says that an address or a credential cannot be used. Nothing was sent.
var ErrAddress = errors.New("the server address or a credential cannot be used")

// Option changes how a client connects.
type Option func(*settings) error

type settings struct {
	token    string
	ca       []byte
	identity *tls.Certificate
}

// WithToken adds a token to every call. It is sent over TLS or to the loopback, never unencrypted to another machine.
func WithToken(token string) Option {
	return func(s *settings) error {
		token = strings.TrimSpace(token)
		if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r < '!' || r > '~' }) {
			return fmt.Errorf("%w: a token is one word of visible ASCII characters", ErrAddress)
		}
		s.token = token
		return nil
	}
}

// WithCA takes the CAs, in PEM, that sign the server's certificate, in place of those of the system.
func WithCA(pem []byte) Option {
	return func(s *settings) error { s.ca = pem; return nil }
}

// WithIdentity takes the certificate for a server that requires one.
func WithIdentity(certificate tls.Certificate) Option {
	return func(s *settings) error { s.identity = &certificate; return nil }
}

// address is a parsed server address.
type address struct {
	host, port string
	tls        bool
}

func parseAddress(text string) (address, error) {
	given := strings.TrimSpace(text)
	// Checked first, so that no other message repeats a password.
	if strings.Contains(given, "@") {
		return address{}, fmt.Errorf("%w: an address has no user and no password; remove everything before `@`", ErrAddress)
	}
	if !strings.Contains(given, "://") {
		given = "http://" + given
	}
	parts, err := url.Parse(given)
	switch {
	case err != nil:
		return address{}, fmt.Errorf("%w: %q: %w", ErrAddress, text, err)
	case parts.Scheme != "http" && parts.Scheme != "https":
		return address{}, fmt.Errorf("%w: %q: write `http://host:port` or `https://host:port`", ErrAddress, text)
	case parts.Hostname() == "":
		return address{}, fmt.Errorf("%w: %q has no host; write `http://host:port`", ErrAddress, text)
	case strings.Trim(parts.Path, "/") != "" || parts.RawQuery != "" || parts.Fragment != "":
		return address{}, fmt.Errorf("%w: %q: a gRPC server has no path; write only `http://host:port`", ErrAddress, text)
	}
	port := parts.Port()
	if port == "" {
		port = defaultPort
	}
	return address{host: parts.Hostname(), port: port, tls: parts.Scheme == "https"}, nil
}

func (a address) String() string {
	scheme := "http"
	if a.tls {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(a.host, a.port)
}

// isLoopback reports whether nothing sent there leaves this machine.
func (a address) isLoopback() bool {
	ip := net.ParseIP(a.host)
	return a.host == "localhost" || ip != nil && ip.IsLoopback()
}

// bearer adds the token to each call.
type bearer struct {
	token    string
	needsTLS bool
}

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + b.token}, nil
}

func (b bearer) RequireTransportSecurity() bool { return b.needsTLS }

func dial(to address, options []Option) (*grpc.ClientConn, error) {
	var s settings
	if token := os.Getenv(TokenVariable); token != "" {
		options = append([]Option{WithToken(token)}, options...)
	}
	for _, option := range options {
		if err := option(&s); err != nil {
			return nil, err
		}
	}
	if path := os.Getenv(CAVariable); path != "" && to.tls && s.ca == nil {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrAddress, CAVariable, err)
		}
		s.ca = pem
	}
	transport := insecure.NewCredentials()
	switch {
	case to.tls:
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if s.ca != nil {
			config.RootCAs = x509.NewCertPool()
			if !config.RootCAs.AppendCertsFromPEM(s.ca) {
				return nil, fmt.Errorf("%w: the CA is not a certificate in PEM", ErrAddress)
			}
		}
		if s.identity != nil {
			config.Certificates = []tls.Certificate{*s.identity}
		}
		transport = credentials.NewTLS(config)
	case s.ca != nil || s.identity != nil:
		return nil, fmt.Errorf("%w: certificates need TLS; write `https://` in place of %s", ErrAddress, to)
	case s.token != "" && !to.isLoopback():
		return nil, fmt.Errorf("%w: a token is not sent unencrypted to %s; write `https://`", ErrAddress, to)
	}
	dialOptions := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent("sakuga-go"),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 20 * time.Second}),
	}
	if to.isLoopback() {
		// A proxy cannot reach the loopback of this machine, and would read what is not encrypted.
		dialOptions = append(dialOptions, grpc.WithNoProxy())
	}
	if s.token != "" {
		dialOptions = append(dialOptions, grpc.WithPerRPCCredentials(bearer{token: s.token, needsTLS: to.tls}))
	}
	return grpc.NewClient("dns:///"+net.JoinHostPort(to.host, to.port), dialOptions...)
}
