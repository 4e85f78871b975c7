package eventmesh.peers;

import org.apache.dubbo.common.stream.StreamObserver;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;

/** A provider of Talker 1.0 over Triple. Arguments: PORT GROUP. It ends when its input does. */
public final class TripleServer {
    private TripleServer() {}

    private static final class Speaker implements Talker {
        private final String group;

        Speaker(String group) {
            this.group = group;
        }

        @Override
        public String greet(String name) {
            if (name.equals("fail")) {
                throw new IllegalStateException("asked to fail");
            }
            return "hello " + name + " from " + group;
        }

        @Override
        public void count(String count, StreamObserver<String> numbers) {
            for (int number = 1; number <= Integer.parseInt(count); number++) {
                numbers.onNext(String.valueOf(number));
            }
            numbers.onCompleted();
        }

        @Override
        public StreamObserver<String> echo(StreamObserver<String> echoes) {
            return new StreamObserver<>() {
                @Override
                public void onNext(String text) {
                    echoes.onNext(text + " from " + group);
                }

                @Override
                public void onError(Throwable error) {}

                @Override
                public void onCompleted() {
                    echoes.onCompleted();
                }
            };
        }
    }

    public static void main(String[] args) throws Exception {
        ServiceConfig<Talker> service = new ServiceConfig<>();
        service.setInterface(Talker.class);
        service.setGroup(args[1]);
        service.setVersion("1.0");
        service.setRef(new Speaker(args[1]));
        ProtocolConfig protocol = new ProtocolConfig("tri", Integer.parseInt(args[0]));
        protocol.setHost("127.0.0.1");
        DubboBootstrap.getInstance()
                .application(DubboCaller.application("provider"))
                .registry(new RegistryConfig("N/A"))
                .protocol(protocol)
                .service(service)
                .start();
        System.out.println("READY " + args[0]);
        System.out.flush();
        while (System.in.read() >= 0) {}
        System.exit(0);
    }
}
