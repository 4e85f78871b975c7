package eventmesh.peers;

import com.alipay.sofa.rpc.config.ApplicationConfig;
import com.alipay.sofa.rpc.config.ProviderConfig;
import com.alipay.sofa.rpc.config.ServerConfig;

/** A SOFARPC provider of Shop, over Bolt. Arguments: PORT. It lives until its parent closes stdin. */
public final class SofaServer {
    private SofaServer() {}

    public static void main(String[] args) throws Exception {
        ServerConfig server = new ServerConfig()
                .setProtocol("bolt")
                .setHost("127.0.0.1")
                .setPort(Integer.parseInt(args[0]))
                .setAutoStart(true)
                .setDaemon(true);
        new ProviderConfig<Shop>()
                .setApplication(new ApplicationConfig().setAppName("shop"))
                .setInterfaceId(Shop.class.getName())
                .setRef(new Counter())
                .setServer(server)
                .setRegister(false)
                .export();
        System.out.println("READY " + args[0]);
        System.out.flush();
        while (System.in.read() >= 0) {
            // Lives until its parent closes stdin.
        }
        System.exit(0);
    }
}
