package eventmesh.peers;

import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;

/** A Dubbo provider of Shop 1.0. Arguments: PORT. It lives until its parent closes stdin. */
public final class ShopServer {
    private ShopServer() {}

    public static void main(String[] args) throws Exception {
        ServiceConfig<Shop> service = new ServiceConfig<>();
        service.setInterface(Shop.class);
        service.setVersion("1.0");
        service.setRef(new Counter());
        ProtocolConfig protocol = new ProtocolConfig("dubbo", Integer.parseInt(args[0]));
        protocol.setHost("127.0.0.1");
        DubboBootstrap.getInstance()
                .application(DubboCaller.application("shop"))
                .registry(new RegistryConfig("N/A"))
                .protocol(protocol)
                .service(service)
                .start();
        System.out.println("READY " + args[0]);
        System.out.flush();
        while (System.in.read() >= 0) {
            // Lives until its parent closes stdin.
        }
        System.exit(0);
    }
}
