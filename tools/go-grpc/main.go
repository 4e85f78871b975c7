// A gRPC service and a caller on grpc-go, with messages of plain bytes: `go-grpc serve PORT`, or `go-grpc call HOST:PORT`,
// driven by lines on stdin, each answered by one line on stdout: "unary TEXT", "count N", "total N", "echo N", "refuse".
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	service     = "/shop.Cart/"
	longestLine = 2 << 20
	within      = 20 * time.Second
)

// plain passes bytes on as they are.
type plain struct{}

func (plain) Name() string                  { return "plain" }
func (plain) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (plain) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		err = serve(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "call":
		err = call(os.Args[2])
	default:
		err = fmt.Errorf("usage: go-grpc serve PORT | call HOST:PORT")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(port string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.ForceServerCodec(plain{}), grpc.UnknownServiceHandler(answer))
	go server.Serve(listener)
	fmt.Println("READY")
	io.Copy(io.Discard, os.Stdin) // Lives until its parent closes stdin.
	return nil
}

// answer is every method; which one it is to be, its name says.
func answer(_ any, stream grpc.ServerStream) error {
	name, _ := grpc.MethodFromServerStream(stream)
	given, _ := metadata.FromIncomingContext(stream.Context())
	stream.SetTrailer(metadata.Pairs("x-after", strings.Join(given["x-note"], ",")))
	var total int
	for {
		var message []byte
		if err := stream.RecvMsg(&message); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		switch strings.TrimPrefix(name, service) {
		case "Echo", "EchoEach":
			if err := stream.SendMsg(&message); err != nil {
				return err
			}
		case "Count":
			count, _ := strconv.Atoi(string(message))
			for number := range count {
				one := []byte(strconv.Itoa(number))
				if err := stream.SendMsg(&one); err != nil {
					return err
				}
			}
		case "Total":
			total += len(message)
		case "Refuse":
			return status.Error(codes.FailedPrecondition, "cart 100% full: ü")
		}
	}
	if name == service+"Total" {
		sum := []byte(strconv.Itoa(total))
		return stream.SendMsg(&sum)
	}
	return nil
}

func call(address string) error {
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(plain{})))
	if err != nil {
		return err
	}
	defer connection.Close()
	fmt.Println("READY")
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		heard, err := ask(connection, lines.Text())
		if err != nil {
			heard = fmt.Sprintf("ERROR %s %s", status.Code(err), status.Convert(err).Message())
		}
		fmt.Println(heard)
	}
	return lines.Err()
}

// ask makes one call and tells its answers, and the trailer that came with them.
func ask(connection *grpc.ClientConn, line string) (string, error) {
	word, rest, _ := strings.Cut(line, " ")
	method, sent := "Echo", []string{rest}
	switch word {
	case "count":
		method = "Count"
	case "total", "echo":
		method = map[string]string{"total": "Total", "echo": "EchoEach"}[word]
		count, _ := strconv.Atoi(rest)
		sent = nil
		for number := range count {
			sent = append(sent, "n"+strconv.Itoa(number))
		}
	case "refuse":
		method = "Refuse"
	}
	ctx, done := context.WithTimeout(metadata.AppendToOutgoingContext(context.Background(), "x-note", "a", "x-note", "b"), within)
	defer done()
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, service+method)
	if err != nil {
		return "", err
	}
	failed := make(chan error, 1)
	go func() {
		for _, one := range sent {
			message := []byte(one)
			if err := stream.SendMsg(&message); err == io.EOF {
				break // The call is over; RecvMsg says how.
			} else if err != nil {
				failed <- err
				return
			}
		}
		failed <- stream.CloseSend()
	}()
	var heard []string
	for {
		var message []byte
		if err := stream.RecvMsg(&message); err == io.EOF {
			break
		} else if err != nil {
			return "", err
		}
		heard = append(heard, string(message))
	}
	return fmt.Sprintf("OK %s %v", strings.Join(heard, ","), stream.Trailer()["x-after"]), <-failed
}
