package eventmesh.peers;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;
import org.apache.dubbo.rpc.RpcContext;

/** A Dubbo provider of Greeter 1.0. Arguments: PORT GROUP. On a line on stdin it shuts down in order. */
public final class DubboServer {
    private DubboServer() {}

    public static void main(String[] args) throws Exception {
        ServiceConfig<Greeter> service = new ServiceConfig<>();
        service.setInterface(Greeter.class);
        service.setGroup(args[1]);
        service.setVersion("1.0");
        service.setRef(new Greeter() {
            @Override
            public String greet(String name) {
                if (name.startsWith("sleep ")) {
                    try {
                        Thread.sleep(Long.parseLong(name.substring(6)));
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    }
                }
                if (name.equals("fail")) {
                    throw new IllegalStateException("asked to fail");
                }
                if (name.equals("trace")) {
                    return new TreeMap<>(RpcContext.getServerAttachment().getAttachments()).toString();
                }
                return "hello " + name + " from " + args[1];
            }

            @Override
            public String describe(Map<String, List<Integer>> numbers, byte[] bytes, Person person) {
                return numbers + " " + bytes.length + " " + person.name + " " + (person.self == person);
            }
        });
        ProtocolConfig protocol = new ProtocolConfig("dubbo", Integer.parseInt(args[0]));
        protocol.setHost("127.0.0.1");
        DubboBootstrap.getInstance()
                .application(DubboCaller.application("provider"))
                .registry(new RegistryConfig("N/A"))
                .protocol(protocol)
                .service(service)
                .start();
        System.out.println("READY " + args[0]);
        System.out.flush();
        if (System.in.read() >= 0) {
            DubboBootstrap.getInstance().stop();
            System.out.println("STOPPED");
        }
        System.exit(0);
    }
}
